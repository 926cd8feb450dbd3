-- The demonstration's product: maintenance of machines in four plants.
CREATE TABLE plants (id integer PRIMARY KEY, name text NOT NULL UNIQUE, city text NOT NULL);
CREATE TABLE people (
    id integer PRIMARY KEY, name text NOT NULL, email text NOT NULL UNIQUE,
    role text NOT NULL CHECK (role IN ('technician', 'planner', 'manager')), plant_id integer NOT NULL REFERENCES plants
);
CREATE TABLE assets (
    id integer PRIMARY KEY, plant_id integer NOT NULL REFERENCES plants, tag text NOT NULL UNIQUE,
    name text NOT NULL, installed_on date NOT NULL
);
CREATE TABLE work_orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, asset_id integer NOT NULL REFERENCES assets,
    assigned_to integer REFERENCES people, title text NOT NULL, body text NOT NULL,
    state text NOT NULL CHECK (state IN ('open', 'planned', 'done')), opened_at timestamptz NOT NULL, closed_at timestamptz
);
CREATE TABLE failure_reports (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, asset_id integer NOT NULL REFERENCES assets,
    reported_by integer NOT NULL REFERENCES people, severity integer NOT NULL CHECK (severity BETWEEN 1 AND 5),
    text text NOT NULL, reported_at timestamptz NOT NULL
);
CREATE TABLE readings (
    asset_id integer NOT NULL, at timestamptz NOT NULL, temperature real NOT NULL,
    vibration real NOT NULL, note text NOT NULL DEFAULT ''
);
CREATE INDEX people_plant_id ON people (plant_id);
CREATE INDEX assets_plant_id ON assets (plant_id);
CREATE INDEX work_orders_asset_id ON work_orders (asset_id);
CREATE INDEX work_orders_assigned_to ON work_orders (assigned_to);
CREATE INDEX failure_reports_asset_id ON failure_reports (asset_id);
CREATE INDEX failure_reports_reported_by ON failure_reports (reported_by);
CREATE VIEW open_work AS
    SELECT plants.name AS plant, count(*) AS orders FROM work_orders
    JOIN assets ON assets.id = asset_id JOIN plants ON plants.id = plant_id
    WHERE state <> 'done' GROUP BY plants.name;
