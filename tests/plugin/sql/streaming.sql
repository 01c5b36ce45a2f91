-- Large transactions are streamed while they are in progress. What comes out of the spool must be
-- what comes without: committed transactions only, in the order of their commits, without what a
-- savepoint took back.
-- streaming
-- shorten
-- with transactions relations
create table t (id integer primary key, body text);
create table other (id integer primary key, body text);
alter table t alter body set storage external;
begin;
insert into t select i, repeat('a', 2000) from generate_series(1, 60) as i;
commit;
begin;
insert into t select i, repeat('rolled back', 100) from generate_series(101, 200) as i;
rollback;
-- Savepoints, nested; the outer one's first row after the inner one's.
begin;
insert into t select i, repeat('b', 2000) from generate_series(301, 340) as i;
savepoint kept;
insert into t values (401, 'kept');
savepoint dropped;
insert into t select i, repeat('never', 500) from generate_series(501, 540) as i;
select pg_logical_emit_message(true, 'never', 'in a savepoint that was rolled back');
rollback to dropped;
select pg_logical_emit_message(true, 'kept', 'in a savepoint that was kept');
savepoint outside;
savepoint inside;
insert into t select i, repeat('never', 500) from generate_series(601, 640) as i;
release inside;
insert into t values (641, 'never');
savepoint only_a_message;
select pg_logical_emit_message(true, 'never', repeat('m', 100000));
rollback to only_a_message;
rollback to outside;
insert into t values (402, 'kept too');
update t set body = 'updated' where id = 301;
update t set id = 1302 where id = 302;
delete from t where id = 303;
truncate other;
commit;
-- A table that changes within, is taken back, and changes again.
begin;
insert into t select i, repeat('c', 2000) from generate_series(701, 740) as i;
savepoint ddl;
alter table t add column extra integer default 7;
insert into t select i, repeat('never', 500), i from generate_series(801, 840) as i;
rollback to ddl;
insert into t values (741, 'without extra');
alter table t rename column body to text;
insert into t select i, repeat('d', 2000) from generate_series(751, 790) as i;
commit;
insert into t values (791, 'after');
-- A table that only a rolled-back transaction ever had.
begin;
create table brief (id integer primary key, body text);
insert into brief select i, repeat('never', 500) from generate_series(1, 60) as i;
rollback;
-- Many subtransactions, half of them rolled back.
do $$
begin
    for i in 1 .. 200 loop
        begin
            insert into t values (1000 + i, repeat(case i % 2 when 0 then 'even' else 'odd' end, 400));
            if i % 2 = 1 then
                raise exception 'odd';
            end if;
        exception when raise_exception then
            null;
        end;
    end loop;
end $$;
-- Prepared.
begin;
insert into t select i, repeat('p', 2000) from generate_series(901, 940) as i;
prepare transaction 'pgforce_stream_kept';
begin;
insert into t select i, repeat('never', 500) from generate_series(951, 990) as i;
prepare transaction 'pgforce_stream_dropped';
insert into other values (1, 'between');
rollback prepared 'pgforce_stream_dropped';
commit prepared 'pgforce_stream_kept';
