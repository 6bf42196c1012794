INSERT INTO role(name) VALUES ('admin') ON CONFLICT(name) DO NOTHING;
