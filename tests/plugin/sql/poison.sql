-- Values whose output function fails, or whose text is many times as large as they are (a NULL of one
-- bit has five characters): they are omitted, and the stream goes on. The first needs a type that no
-- one should make; values of ordinary types fail so too, but only when they are about to fill 1 GB.
-- walsender
-- read max_value_bytes=100000
set client_min_messages = error;
create type bad;
create function bad_in(cstring) returns bad language internal immutable strict as 'textin';
create function bad_out(bad) returns cstring language internal immutable strict as 'shell_out';
create type bad (input = bad_in, output = bad_out, internallength = variable);
create table t (id integer primary key, b bad, a integer[], bs bad[]);
insert into t values (1, 'x', '{1}', null);
insert into t values (2, null, array_fill(null::integer, array[100000]), '{x,y}');
update t set id = 3 where id = 1;
insert into t values (4, null, '{2}', null);
