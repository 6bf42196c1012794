-- landfall: environment dev
-- landfall: after groups
INSERT INTO contact(name, group_id)
SELECT 'Ada', id FROM contact_group WHERE name = 'Friends';
