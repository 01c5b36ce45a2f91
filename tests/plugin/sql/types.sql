-- The common types, their extremes, and those whose text could depend on settings: as natively
-- sent values and as text they must read the same.
-- walsender
-- read
-- read native=off
create type mood as enum ('sad', 'happy "quoted"');
create domain positive as integer check (value > 0);
create domain day as date;
create type pair as (a integer, b text);
create table t (
    id integer primary key, b boolean, i2 smallint, i8 bigint, o oid, f4 real, f8 double precision,
    n numeric, m money, c char(5), v varchar(10), x text, y bytea, d date, ti time, tz timetz,
    ts timestamp, tstz timestamptz, iv interval, u uuid, j json, jb jsonb, ia integer[], ta text[],
    e mood, p positive, dd day, r pair, ir int4range, mr int4multirange, ip inet, bi bit(3),
    vb bit varying(8), tsv tsvector, xm xml, pl pg_lsn, na name, ch "char", rc regclass, pt point);
insert into t (id) values (0);
insert into t values (
    1, true, -32768, -9223372036854775808, 4294967295, 'NaN', 'Infinity', 'NaN', '-1.50', 'ab', 'varchar',
    E'tab\tnew\nline "quote" back\\slash \u00e9 \U0001F600', '\x00ff', '2024-02-29', '23:59:60', '12:00+02',
    '1999-12-31 23:59:59.999999', '2024-07-01 12:00+02', '1 year -2 days 03:04:05.6',
    'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{"a" : [1,  null]}', '{"b": 1, "a": null}', '{1,null,-3}',
    '{"a,b","NULL",null,"q\"q"}', 'happy "quoted"', 7, '2000-01-01', '(1,"x, y")', '[1,5)', '{[1,2),[4,)}',
    '10.0.0.1/8', '101', '1', 'a:1 b:2', '<a>&amp;</a>', '16/B374D848', 'a name', 'c', 'pg_class', '(1,2.5)');
insert into t (id, b, i2, i8, o, n, d, ts, tstz, iv) values
    (2, false, 32767, 9223372036854775807, 0, 1e30, '4713-11-24 BC', '4713-11-24 00:00:00 BC',
     '4713-11-24 00:00:00+00 BC', '-1 mon'),
    (3, null, 0, 0, 1, 0.00, '5874897-12-31', '294276-12-31 23:59:59.999999', '294276-12-31 23:59:59.999999+00', '0'),
    (4, null, 0, 0, 1, -0.1, 'infinity', 'infinity', 'infinity', null),
    (5, null, 0, 0, 1, null, '-infinity', '-infinity', '-infinity', null),
    (6, null, 0, 0, 1, null, '0001-01-01', '0001-01-01 00:00:00.5', null, null),
    (7, null, 0, 0, 1, null, '0001-12-31 BC', '0001-12-31 23:59:59.000001 BC', null, null),
    (8, null, 0, 0, 1, null, '1900-02-28', '1970-01-01 00:00:00.1', null, null),
    (9, null, 0, 0, 1, null, '2100-03-01', '10000-01-01 00:00:00', null, null);
