-- A byte that has no character in UTF-8 makes the value omitted, not the slot stuck.
-- encoding WIN1252
create table t (id integer primary key, body text);
insert into t values (1, 'fine'), (2, convert_from('\x81', 'WIN1252')), (3, 'next');
