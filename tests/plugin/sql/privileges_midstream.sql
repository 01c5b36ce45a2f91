-- GRANT and REVOKE between the rows of one transaction, and in savepoints: what counts is the
-- privilege in force at the change. A table is announced as withheld, or again, each time it turns.
-- as pgforce_mid
-- with relations
create role pgforce_mid replication;
create table t (id integer primary key, a text, b text);
begin;
insert into t values (1, 'no', 'no');
grant select on t to pgforce_mid;
insert into t values (2, 'yes', 'yes');
savepoint s;
revoke select on t from pgforce_mid;
insert into t values (3, 'no', 'no');
rollback to s;
insert into t values (4, 'yes', 'yes');
revoke select on t from pgforce_mid;
insert into t values (5, 'no', 'no');
grant select (id, b) on t to pgforce_mid;
insert into t values (6, 'no', 'yes');
commit;
update t set id = 16, b = 'still' where id = 6;
revoke select (id) on t from pgforce_mid;
delete from t where id = 16;
alter table t enable row level security;
insert into t values (7, 'no', 'no');
alter table t disable row level security;
revoke usage on schema public from public;
insert into t values (8, 'no', 'no');
grant usage on schema public to public;
insert into t values (9, 'no', 'yes');
alter role pgforce_mid superuser;
insert into t values (10, 'yes', 'yes');
alter role pgforce_mid nosuperuser;
insert into t values (11, 'no', 'yes');
