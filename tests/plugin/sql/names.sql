-- Names that need quotes, in every place where there is a name.
-- with relations
create schema "Ünïcode schema";
create type "Ünïcode schema"."a ""type""" as enum ('v');
create table "Ünïcode schema"."semi;colon ""quoted"" \back" ("select" integer primary key, "Ä.b" "Ünïcode schema"."a ""type""");
insert into "Ünïcode schema"."semi;colon ""quoted"" \back" values (1, 'v');
