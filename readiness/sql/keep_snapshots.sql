-- A sealed snapshot is neither changed nor deleted, by whomever and for whatever reason.
CREATE FUNCTION readiness_keep_snapshots() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'Snapshot % of % is sealed: snapshots are neither changed nor deleted.',
        OLD.number, OLD.environment_slug
        USING ERRCODE = 'restrict_violation';
END
$$;

CREATE TRIGGER readiness_keep_snapshots
    BEFORE UPDATE OR DELETE ON readiness_decisionsnapshot
    FOR EACH ROW EXECUTE FUNCTION readiness_keep_snapshots();
