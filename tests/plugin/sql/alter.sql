-- Each row is shown under the definition of its time, also inside one transaction.
-- with relations
create table t (id integer primary key, a text, dropped text);
insert into t values (1, 'one', 'd');
begin;
insert into t values (2, 'two', 'd');
alter table t drop column dropped;
insert into t values (3, 'three');
alter table t add column b integer default 7;
insert into t values (4, 'four', 8);
alter table t rename column a to b2;
update t set b2 = 'renamed' where id = 4;
alter table t alter column b type text;
insert into t values (5, 'five', 'text now');
alter table t rename to u;
insert into u values (6, 'six', '6');
commit;
update u set b = 'z' where id = 1;
alter schema public rename to other;
insert into other.u values (7, 'seven', '7');
analyze other.u;
insert into other.u values (8, 'not announced again', '8');
alter schema other rename to public;
