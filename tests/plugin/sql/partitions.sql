-- Rows of a partitioned table come under the name of their partition.
create table p (id integer, k integer, primary key (id, k)) partition by list (k);
create table p1 partition of p for values in (1);
create table p2 partition of p for values in (2);
insert into p values (1, 1), (2, 2);
update p set k = 2 where id = 1;
truncate p;
