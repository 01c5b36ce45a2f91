-- The size is judged uncompressed, and a compressed value is sent whole.
-- read max_value_bytes=100000
create table t (id integer primary key, body text);
insert into t values (1, repeat('ab', 1500)), (2, repeat('x', 1000000)), (3, repeat('k', 2000));
update t set id = 5 where id = 2;
