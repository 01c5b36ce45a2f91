-- Text and names arrive in UTF-8 whatever the server's encoding is.
-- encoding LATIN1
-- with relations
set client_encoding = 'UTF8';
create table "tâble" (id integer primary key, "cölumn" text);
insert into "tâble" values (1, 'äöüß'), (2, 'ascii');
select pg_logical_emit_message(true, 'prëfix', 'plain');
