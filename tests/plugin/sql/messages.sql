-- A transactional message stands in its transaction, another stands alone; neither is sent when
-- rolled back (but the other kind always is).
-- with transactions
-- read
-- read actions=insert,update,delete,truncate
-- read actions=message
create table t (id integer primary key);
select pg_logical_emit_message(false, 'alone', 'first');
begin;
insert into t values (1);
select pg_logical_emit_message(true, 'inside', 'with row');
select pg_logical_emit_message(false, 'at once', 'before the row');
insert into t values (2);
commit;
begin;
select pg_logical_emit_message(true, 'rolled back', 'never');
select pg_logical_emit_message(false, 'rolled back', 'sent all the same');
rollback;
select pg_logical_emit_message(true, '', '');
select pg_logical_emit_message(true, 'bytes', '\x00ff41'::bytea);
