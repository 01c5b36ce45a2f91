-- Only what the role may read is sent; what it may not is announced once, without columns.
-- as pgforce_reader
-- with relations
create role pgforce_reader replication;
create role pgforce_group;
create table granted (id integer primary key, a text);
create table columns (id integer primary key, secret text, open text);
create table hidden (id integer primary key, secret text);
create table guarded (id integer primary key, secret text);
create table later (id integer primary key, secret text);
create schema closed;
create table closed.inside (id integer primary key);
grant select on granted to pgforce_reader;
grant select (id, open) on columns to pgforce_reader;
grant select on guarded, closed.inside to pgforce_reader;
grant select on later to pgforce_group;
alter table guarded enable row level security;
insert into granted values (1, 'seen');
insert into columns values (1, 'not seen', 'seen');
update columns set id = 2;
insert into hidden values (1, 'not seen');
update hidden set secret = 'not seen either';
truncate hidden;
insert into guarded values (1, 'not seen');
insert into closed.inside values (1);
truncate granted, hidden;
insert into later values (1, 'not seen');
grant pgforce_group to pgforce_reader;
insert into later values (2, 'seen');
revoke select on granted from pgforce_reader;
insert into granted values (2, 'not seen any more');
grant usage on schema closed to pgforce_reader;
insert into closed.inside values (2);
alter table guarded disable row level security;
insert into guarded values (2, 'seen');
