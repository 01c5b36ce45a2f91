-- walsender
-- with relations transactions
create table t (id int primary key, name text, n bigint);
insert into t values (1, 'one', 10), (2, null, -5);
update t set name = 'uno' where id = 1;
update t set id = 3 where id = 2;
delete from t where id = 1;
