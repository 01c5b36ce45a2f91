-- The plugin writes floats itself: always the server's own text, which t holds.
-- same f t
-- same g u
-- shown none
create table t (id integer primary key, f double precision, t text, g real, u text);
create function add(numbers double precision[]) returns void language sql as $$
    insert into t
    select coalesce((select max(id) from t), 0) + row_number() over (), x, x::text,
           case when x = 0 or abs(x) between 1e-37 and 1e38 then x::real end,
           case when x = 0 or abs(x) between 1e-37 and 1e38 then x::real::text end
    from unnest(numbers) as x;
$$;
select add(array['0', '-0', '1', '-1', '0.0001', '0.00009', '0.00012', '-0.5', '0.1', '0.3', '99999999999',
    '99999999999.9999', '100000000000', '-100000000000.5', '999999999999999', '1e15', '123456789012345.6',
    '12345678901.2345', '12345678901.23455', '0.30000000000000004', '4503599627370497.5', '5e-324', '1e22',
    '1e23', '9007199254740993', 'NaN', 'Infinity', '-Infinity', '1.7976931348623157e308', '1234.5678',
    '1234.56785', '0.00005', '-0.00005', '1e-5', '8.41', '8.4100', '100', '1e10']::double precision[]);
select setseed(0.5);
select add(array(select (random() * 10 ^ (i % 14))::numeric(30, 6) from generate_series(1, 700) as i)::double precision[]);
select add(array(select trunc((random() - 0.5) * 10 ^ (i % 16)) / 10 ^ (i % 6) from generate_series(1, 700) as i));
select add(array(select i * 1.1 from generate_series(1, 300) as i)::double precision[]);
select add(array(select i * 1.1::double precision from generate_series(1, 300) as i));
