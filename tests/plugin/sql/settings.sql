-- The reader's own settings change nothing, and stay as they are.
-- as pgforce_settings
create role pgforce_settings superuser;
alter role pgforce_settings set datestyle = 'German';
alter database test_settings set datestyle = 'SQL, DMY';
alter database test_settings set timezone = 'Asia/Tokyo';
alter database test_settings set intervalstyle = 'sql_standard';
alter database test_settings set bytea_output = 'escape';
alter database test_settings set extra_float_digits = '-15';
create table t (id integer primary key, d date, ts timestamp, tz timestamptz, iv interval, y bytea, f float8);
insert into t values (1, '2024-02-01', '2024-02-01 10:00', '2024-02-01 10:00+00', '1 day 02:03:04', '\x01ff',
    0.1::float8 + 0.2::float8);
