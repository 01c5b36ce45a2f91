-- A prepared transaction is sent at COMMIT PREPARED, and never if it is rolled back.
-- with transactions
create table t (id integer primary key);
begin;
insert into t values (1);
prepare transaction 'pgforce_kept';
begin;
insert into t values (2);
prepare transaction 'pgforce_dropped';
insert into t values (3);
rollback prepared 'pgforce_dropped';
commit prepared 'pgforce_kept';
