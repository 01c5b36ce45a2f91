-- Rows across several messages of at most 16,000 bytes, and one row that is larger than a message.
-- walsender
-- with transactions
create table t (id integer primary key, body text);
alter table t alter body set storage external;
insert into t select i, repeat(chr(97 + i), 1000) from generate_series(1, 20) as i;
insert into t values (100, repeat('z', 40000)), (101, 'after');
