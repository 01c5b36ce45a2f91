-- The role may read the ancestor but not the partitions, or the other way round: what counts is the
-- table under whose name a row is sent.
-- as pgforce_part
-- with relations
-- read partitions=root
-- read partitions=leaf
create role pgforce_part replication;
create table open (id integer, k integer, secret text) partition by list (k);
create table open_1 partition of open for values in (1);
grant select (k, id) on open to pgforce_part;
create table closed (id integer, k integer, secret text) partition by list (k);
create table closed_1 partition of closed for values in (1);
grant select on closed_1 to pgforce_part;
insert into open values (1, 1, 'not seen');
insert into closed values (2, 1, 'seen as leaf');
revoke select (k) on open from pgforce_part;
insert into open values (3, 1, 'not seen');
