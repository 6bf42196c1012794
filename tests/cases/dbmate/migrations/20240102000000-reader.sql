-- migrate:up
CREATE TABLE reader(id INTEGER PRIMARY KEY, name TEXT)

-- migrate:down
DROP TABLE reader