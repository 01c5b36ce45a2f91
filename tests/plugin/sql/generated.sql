-- Stored generated columns are sent like any other.
create table t (id integer primary key, double integer generated always as (id * 2) stored, s integer generated always as identity);
insert into t (id) values (21);
update t set id = 22;
