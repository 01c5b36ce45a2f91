-- Several tables at once, with the table that a cascade reaches.
create table a (id serial primary key);
create table b (id integer primary key, a integer references a);
create table c (id integer);
insert into a default values;
truncate a, c restart identity cascade;
truncate c;
begin;
truncate c;
insert into c values (1);
commit;
