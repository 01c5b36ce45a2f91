-- Transactions of the named origins are dropped; others carry their origin's name.
-- walsender
-- with transactions
-- read
-- read exclude_origins=pgforce_test_a
-- read 'exclude_origins=pgforce_test_a, pgforce_test_b'
-- read exclude_origins=pgforce_test_missing
create table t (id integer primary key);
select pg_replication_origin_create('pgforce_test_a');
select pg_replication_origin_create('pgforce_test_b');
insert into t values (1);
select pg_replication_origin_session_setup('pgforce_test_a');
insert into t values (2);
select pg_logical_emit_message(true, 'from', 'a');
select pg_replication_origin_session_reset();
select pg_replication_origin_session_setup('pgforce_test_b');
insert into t values (3);
select pg_replication_origin_session_reset();
insert into t values (4);
