-- A large value that an update leaves alone is unchanged, not null; under FULL the old row has it.
-- read max_value_bytes=3000
create table t (id integer primary key, name text, body text);
alter table t alter body set storage external;
insert into t values (1, 'a', repeat('x', 2500)), (2, 'b', null), (3, 'c', repeat('y', 4000));
update t set name = 'a2' where id = 1;
update t set body = null where id = 1;
update t set name = 'c2' where id = 3;
update t set id = 4 where id = 3;
alter table t replica identity full;
update t set name = 'c3' where id = 4;
update t set body = repeat('z', 2400) where id = 4;
delete from t where id = 4;
