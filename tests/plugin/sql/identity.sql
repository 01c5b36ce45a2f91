-- What each replica identity logs of the old row. A column that was not logged is absent.
-- with relations
create table t (id integer primary key, code text not null unique, note text);
insert into t values (1, 'A', 'n1'), (2, 'B', null);
update t set note = 'n2' where id = 1;
update t set id = 10 where id = 1;
delete from t where id = 10;
alter table t replica identity using index t_code_key;
update t set note = 'x' where code = 'B';
update t set code = 'C' where code = 'B';
alter table t replica identity full;
update t set note = null where code = 'C';
delete from t where code = 'C';
alter table t replica identity nothing;
insert into t values (3, 'D', null);
update t set id = 4 where id = 3;
delete from t;
create table keyless (a integer, b text);
insert into keyless values (1, 'x');
update keyless set b = 'y';
delete from keyless;
create table empty ();
insert into empty default values;
