-- Tables of this database that hold back its oldest transaction number or multixact, oldest first.
SELECT
    coalesce(owner.oid, relation.oid)::regclass::text AS name,
    age(relation.relfrozenxid) AS xid_age,
    mxid_age(relation.relminmxid) AS mxid_age,
    count(*) OVER () AS total
FROM pg_class AS relation
LEFT JOIN pg_class AS owner ON owner.reltoastrelid = relation.oid
WHERE relation.relkind IN ('r', 'm', 't')
    AND (age(relation.relfrozenxid) > %(xid_age_warn)s OR mxid_age(relation.relminmxid) > %(mxid_age_warn)s)
ORDER BY greatest(age(relation.relfrozenxid), mxid_age(relation.relminmxid)) DESC
LIMIT 10
