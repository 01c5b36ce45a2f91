-- As many columns as a table can have.
do $$
begin
    execute (select 'create table t (' || string_agg('c' || i || ' integer', ', ') || ')'
             from generate_series(1, 1600) as i);
end $$;
insert into t (c1, c1600) values (1, 1600);
