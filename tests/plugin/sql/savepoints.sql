-- What was rolled back is not sent, and numbering has no holes. Empty transactions send nothing.
-- walsender
-- with transactions
create table t (id integer primary key);
begin;
insert into t values (1);
savepoint a;
insert into t values (2);
rollback to a;
insert into t values (3);
savepoint b;
insert into t values (4);
release b;
commit;
begin;
insert into t values (5);
rollback;
begin;
savepoint a;
insert into t values (6);
rollback to a;
commit;
create table unused ();
select txid_current();
