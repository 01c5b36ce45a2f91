-- Every value is its type's own text: what has no number, no end or no year one, in arrays, ranges,
-- domains and composites too, and types of extensions.
-- walsender
-- shorten
-- read
-- read native=off
create extension hstore;
create extension citext;
create type mood as enum ('sad', 'ok');
create domain whole as numeric check (value = 'NaN' or value > 0);
create domain moods as mood[];
create type inner_pair as (f double precision, t timetz);
create type outer_pair as (p inner_pair, a numeric[], h hstore);
create table t (
    id integer primary key, n numeric, n5 numeric(5, 2), w whole, f4 real, f8 double precision,
    d date, ts timestamp(3), tz timestamptz, ti time, tit timetz, iv interval, y bytea, h hstore, c citext,
    e mood, em mood[], dm moods, na numeric[], da date[], dd integer[][], ia interval[], ba bytea[],
    ca citext[], ha hstore[], oa outer_pair[], o outer_pair, nr numrange, dr daterange, tr tstzrange,
    tm tstzmultirange, jb jsonb, jp jsonpath, ls lseg, b bit(4), cid cidr, mac macaddr8, tq tsquery, ch char(3));
insert into t (id, n, n5, w, f4, f8) values
    (1, 'NaN', 'NaN', 'NaN', 'NaN', 'NaN'), (2, 'Infinity', 999.99, 1e-30, 'Infinity', 'Infinity'),
    (3, '-Infinity', -0.00, 1e30, '-Infinity', '-Infinity'), (4, 1e-16383, 0, 1, '-0', '-0'),
    (5, 12345678901234567890.12345678901234567890, 1.5, 0.1, 3.4028235e38, 1.7976931348623157e308),
    (6, 0.000, 0.5, 2, 1e-45, 5e-324), (7, 0, 0, 3, 0.1, 0.1), (8, 0, 0, 3, 16777216, 1e15), (9, 0, 0, 3, 1e6, 1e16);
insert into t (id, d, ts, tz, ti, tit, iv) values
    (11, 'infinity', 'infinity', 'infinity', '24:00', '24:00-15:59', '178000000 years'),
    (12, '-infinity', '-infinity', '-infinity', '00:00', '00:00+15:59:59', '-178000000 years'),
    (13, '0001-01-01 BC', '0044-03-15 12:00:00.1236 BC', '0044-03-15 12:00+00 BC', '23:59:59.9999999', '12:00:00.5+05:30', '-1 mon +1 day -00:00:00.000001'),
    (14, '9999-12-31', '9999-12-31 23:59:59.999', '10000-01-01 00:00+00', '12:00', '12:00-08', '1 mon -1 day'),
    (15, '1582-10-10', '1582-10-10', '1883-11-18 12:00+00', '01:02:03.4', '01:02:03.4+00', '0');
insert into t (id, y, h, c, e, em, dm) values
    (21, '\x', '', '', 'sad', '{}', '{}'), (22, '\x00ff5c27', '"a b"=>NULL, "q\"k"=>"v\\\\", e=>""', 'MiXed Ä', 'ok', '{sad,NULL,ok}', '{ok,ok}');
insert into t (id, na, da, dd, ia, ba, ca, ha, oa, o) values
    (31, '{NaN,Infinity,-1.50,NULL}', '{infinity,"0001-01-01 BC"}', '[2:3][-1:0]={{1,2},{3,NULL}}',
     '{"1 day -00:00:01","-5 mons"}', '{"\\x00","\\xdeadbeef"}', '{"A b","",NULL}', '{"a=>\"1,2\"",""}',
     array[row(row('NaN', '12:00+02'), array[1.10, null], 'k=>v')::outer_pair, null],
     row(row('-Infinity', null), '{}', '"x y"=>"1,\"2\""'));
insert into t (id, nr, dr, tr, tm, jb, jp, ls, b, cid, mac, tq, ch) values
    (41, '[NaN,NaN]', '[infinity,)', '(-infinity,"0001-01-01 00:00+00 BC"]', '{}', '{"k": [1.10, "\u00e9\n", null, true]}',
     '$."a"[*] ? (@ > 1)', '[(NaN,1),(Infinity,-0)]', '0101', '::1/128', '08:00:2b:01:02:03:04:05', '''a'' & !b:*A', 'a'),
    (42, 'empty', '(,)', '[2024-01-01 00:00+02,infinity]', '{[2024-01-01,2024-01-02),[2025-01-01,)}', '1e400', 'lax $', null,
     null, null, null, null, '');
