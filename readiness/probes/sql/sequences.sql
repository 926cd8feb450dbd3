-- Sequences near the end of what they, or the column they fill, can hold, nearest first; and how many hide their value.
WITH filled AS (
    -- serial and identity columns own their sequence
    SELECT link.objid AS sequence_id, link.refobjid AS table_id, link.refobjsubid AS column_number
    FROM pg_sequence AS sequence
    JOIN pg_depend AS link ON link.classid = 'pg_class'::regclass AND link.objid = sequence.seqrelid
    WHERE link.refclassid = 'pg_class'::regclass AND link.deptype IN ('a', 'i') AND link.refobjsubid > 0
    UNION
    -- others are named by a default: nextval('...')
    SELECT link.refobjid, stated.adrelid, stated.adnum
    FROM pg_attrdef AS stated
    JOIN pg_depend AS link ON link.classid = 'pg_attrdef'::regclass AND link.objid = stated.oid
    WHERE link.refclassid = 'pg_class'::regclass AND link.deptype = 'n'
), counted AS (
    SELECT
        sequence.seqrelid,
        sequence.seqtypid,
        sequence.seqincrement,
        sequence.seqmin,
        sequence.seqmax,
        sequence.seqcycle,
        filled.table_id,
        filled.column_number,
        kind.atttypid,
        has_sequence_privilege(sequence.seqrelid, 'SELECT, USAGE') AS is_readable,
        CASE WHEN has_sequence_privilege(sequence.seqrelid, 'SELECT, USAGE')
                AND (relation.relpersistence = 'p' OR NOT pg_is_in_recovery())
            THEN pg_sequence_last_value(sequence.seqrelid) END::float8 AS last_value,
        CASE kind.atttypid WHEN 21 THEN 32767 WHEN 23 THEN 2147483647 ELSE 9223372036854775807 END AS column_max,
        CASE kind.atttypid WHEN 21 THEN -32768 WHEN 23 THEN -2147483648 ELSE -9223372036854775808 END AS column_min
    FROM pg_sequence AS sequence
    JOIN pg_class AS relation ON relation.oid = sequence.seqrelid AND relation.relpersistence <> 't'
    LEFT JOIN filled ON filled.sequence_id = sequence.seqrelid
    LEFT JOIN pg_attribute AS kind ON kind.attrelid = filled.table_id AND kind.attnum = filled.column_number
), graded AS (
    SELECT
        *,
        CASE WHEN seqincrement > 0
            THEN (last_value - seqmin + 1) / greatest(least(seqmax, column_max)::float8 - seqmin + 1, 1)
            ELSE (seqmax::float8 - last_value + 1) / greatest(seqmax::float8 - greatest(seqmin, column_min) + 1, 1)
        END * 100 AS percent,
        seqcycle AND seqmax <= column_max AND seqmin >= column_min AS begins_again
    FROM counted
), listed AS (
    SELECT
        *,
        count(*) FILTER (WHERE NOT is_readable) OVER () AS unreadable,
        count(*) FILTER (WHERE percent >= %(sequence_warn_percent)s AND NOT begins_again) OVER () AS total
    FROM graded
)
SELECT
    seqrelid::regclass::text AS name,
    table_id::regclass::text AS on_table,
    (SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = table_id AND attnum = column_number) AS column_quoted,
    format_type(atttypid, NULL) AS column_type,
    CASE WHEN seqincrement > 0
        THEN seqmax < 9223372036854775807
        ELSE seqmin > -9223372036854775808
    END AS is_limited,
    seqincrement < 0 AS is_descending,
    last_value,
    percent,
    percent >= %(sequence_warn_percent)s AND NOT begins_again AS is_near,
    unreadable,
    total
FROM listed
WHERE NOT is_readable OR (percent >= %(sequence_warn_percent)s AND NOT begins_again)
ORDER BY is_readable DESC, percent DESC NULLS LAST, 1
LIMIT 10
