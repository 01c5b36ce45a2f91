-- Tables and kinds of change, as asked for.
-- read tables=public.a
-- read tables=*.a
-- read tables=public.a*,other.b
-- read exclude_tables=*.a*
-- read schemas=oth*
-- read schemas=public exclude_tables=public.a_b
-- read 'tables=public.dot\.ted'
-- read 'tables=public.dot\.*'
-- read actions=update,truncate
-- read actions=insert tables=other.*
create schema other;
create table a (id integer primary key);
create table a_b (id integer primary key);
create table "dot.ted" (id integer primary key);
create table other.a (id integer primary key);
create table other.b (id integer primary key);
insert into a values (1);
insert into a_b values (2);
insert into "dot.ted" values (3);
insert into other.a values (4);
insert into other.b values (5);
begin;
update a set id = 11;
delete from other.b;
truncate a, other.a;
commit;
