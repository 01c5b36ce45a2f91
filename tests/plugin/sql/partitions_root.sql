-- Under the topmost ancestor's name, whose columns may lie otherwise in a partition. What may be read
-- is judged by the ancestor; a partition that is truncated alone comes under its own name.
-- as pgforce_root
-- walsender
-- with relations
-- read partitions=root
-- read partitions=root tables=public.p
-- read partitions=root tables=public.p1
-- read partitions=leaf
-- read partitions=trunk
create role pgforce_root superuser;
create table p (id integer, gone text, k integer, body text, primary key (id, k)) partition by list (k);
alter table p drop column gone;
create table p1 partition of p for values in (1);
create table p2 (body text, dropped integer, k integer not null, id integer not null);
alter table p2 drop column dropped;
alter table p attach partition p2 for values in (2);
create table p3 partition of p for values in (3, 4) partition by list (k);
create table p33 partition of p3 for values in (3);
create table p34 (k integer not null, id integer not null, body text);
alter table p3 attach partition p34 for values in (4);
alter table p34 replica identity full;
insert into p values (1, 1, 'one'), (2, 2, 'two'), (3, 3, 'three'), (4, 4, 'four');
update p set k = 2 where id = 1;
update p set body = 'changed';
delete from p where id in (2, 4);
alter table p add column more text default 'more';
insert into p values (5, 4, 'five', 'even more');
alter table p detach partition p2;
insert into p2 values ('alone', 2, 6, 'own name');
truncate p33;
truncate p;
alter table p3 rename to renamed;
alter table p rename to root;
insert into root values (7, 3, 'seven', null);
