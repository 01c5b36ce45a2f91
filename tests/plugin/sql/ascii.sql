-- SQL_ASCII has no encoding to convert from: bytes come as they are, and what is not UTF-8 shows as
-- the replacement character.
-- encoding SQL_ASCII
create table t (id integer primary key, body text);
insert into t values (1, 'é'), (2, E'\xff\xc3');
