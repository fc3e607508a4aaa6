-- One row per resource that was ever held. Rows outlive their hold, because
-- the fence in them must keep growing.

CREATE TABLE holds (
    resource   TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    owner      TEXT COLLATE "C" NOT NULL,
    fence      BIGINT NOT NULL CHECK (fence > 0),
    taken_ms   BIGINT NOT NULL,
    renewed_ms BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL,
    note       TEXT COLLATE "C" NOT NULL DEFAULT ''
);

-- Which history of the server this is: it grows with each promotion and each recovery to a point in time, and any
-- role may ask. In recovery nothing is written, and what the control file says is near enough to look at.
-- Where a service forbids these functions it says 0, for ever: Aurora does, and its failovers lose no commit.
DO $body$
BEGIN
    PERFORM pg_walfile_name(pg_current_wal_insert_lsn()), timeline_id FROM pg_control_checkpoint();
    CREATE FUNCTION server_timeline() RETURNS bigint VOLATILE LANGUAGE sql AS $$
        SELECT CASE WHEN pg_is_in_recovery() THEN (SELECT timeline_id FROM pg_control_checkpoint())::bigint
            ELSE ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::bigint END $$;
EXCEPTION WHEN feature_not_supported OR insufficient_privilege OR undefined_function THEN
    CREATE FUNCTION server_timeline() RETURNS bigint VOLATILE LANGUAGE sql AS 'SELECT 0::bigint';
END $body$;

-- Which server this is: a dump that was loaded into another one is a database put back.
DO $body$
BEGIN
    PERFORM system_identifier FROM pg_control_system();
    CREATE FUNCTION server_system() RETURNS bigint VOLATILE LANGUAGE sql AS 'SELECT system_identifier FROM pg_control_system()';
EXCEPTION WHEN feature_not_supported OR insufficient_privilege OR undefined_function THEN
    CREATE FUNCTION server_system() RETURNS bigint VOLATILE LANGUAGE sql AS 'SELECT 0::bigint';
END $body$;

INSERT INTO counters (name, value) VALUES ('timeline', server_timeline()), ('system', server_system());
