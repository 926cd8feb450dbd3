-- Believable rows, as many as the settings demo.assets and demo.readings (for each asset) say.
SELECT setseed(0.42);
INSERT INTO plants VALUES (1, 'T208 Press shop', 'Leipzig'), (2, 'T311 Paint line', 'Graz'),
    (3, 'T417 Assembly', 'Brno'), (4, 'T502 Logistics', 'Rotterdam');
INSERT INTO people
    SELECT n, (ARRAY['Anna','Ben','Clara','David','Emil','Frida','Georg','Hana','Ivo','Jana'])[1 + n % 10] || ' '
        || (ARRAY['Kern','Lang','Maurer','Novak','Otto','Pavlik','Richter','Svoboda'])[1 + n / 10 % 8],
        'person' || n || '@maintain.example', (ARRAY['technician','technician','planner','manager'])[1 + n % 4], 1 + n % 4
    FROM generate_series(1, 80) AS n;
INSERT INTO assets
    SELECT n, 1 + n % 4, 'A-' || lpad(n::text, 5, '0'),
        (ARRAY['Hydraulic press','Conveyor','Robot cell','Compressor','Paint booth','Fork lift'])[1 + n % 6] || ' ' || n,
        date '2012-01-01' + (n * 37 % 4000)
    FROM generate_series(1, current_setting('demo.assets')::int) AS n;
INSERT INTO work_orders (asset_id, assigned_to, title, body, state, opened_at, closed_at)
    SELECT 1 + n % current_setting('demo.assets')::int, 1 + n % 80,
        (ARRAY['Replace seal','Lubricate bearing','Check pressure','Calibrate sensor','Tighten bolts'])[1 + n % 5],
        'Order ' || n || ': ' || md5(random()::text) || ' ' || md5(random()::text),
        (ARRAY['done','done','done','planned','open'])[1 + n % 5],
        now() - n * interval '7 minutes', CASE WHEN n % 5 < 3 THEN now() - n * interval '6 minutes' END
    FROM generate_series(1, current_setting('demo.assets')::int * 20) AS n;
INSERT INTO failure_reports (asset_id, reported_by, severity, text, reported_at)
    SELECT 1 + n * 7 % current_setting('demo.assets')::int, 1 + n % 80, 1 + n % 5,
        'Noise at ' || (n % 360) || ' degrees, ' || md5(random()::text), now() - n * interval '40 minutes'
    FROM generate_series(1, current_setting('demo.assets')::int * 4) AS n;
INSERT INTO readings
    SELECT 1 + n % current_setting('demo.assets')::int, now() - n * interval '20 seconds', 40 + 20 * random(), random() * 3,
        CASE WHEN n % 50 = 0 THEN 'peak ' || md5(random()::text) ELSE '' END
    FROM generate_series(1, current_setting('demo.assets')::int * current_setting('demo.readings')::int) AS n;
ALTER TABLE readings ADD FOREIGN KEY (asset_id) REFERENCES assets;
CREATE INDEX readings_asset_id_at ON readings (asset_id, at);
