-- How many tasks a board has of each status is counted when it is asked: counters here would be rows for which every
-- claim of a board waits.

-- To end tasks, or bring them back: their rows and those of all they are linked to are locked, in the order of their
-- numbers, as by whoever links tasks. So two ends wait for each other only when they change the same rows, and never in a
-- circle. What was linked while it waited is locked, too: once a task's own row is held, nobody links it any more.
DROP FUNCTION hold_links(bigint);
CREATE FUNCTION hold_links(VARIADIC tasks_ended bigint[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    held bigint[] := '{}';
    family bigint[];
BEGIN
    LOOP
        family := ARRAY(SELECT unnest(tasks_ended)
                        UNION SELECT child_id FROM task_links WHERE parent_id = ANY (tasks_ended)
                        UNION SELECT parent_id FROM task_links WHERE child_id = ANY (tasks_ended));
        EXIT WHEN family <@ held;
        PERFORM 1 FROM tasks WHERE task_id = ANY (family) AND NOT task_id = ANY (held) ORDER BY task_id FOR UPDATE;
        held := held || family;
    END LOOP;
END $$;
