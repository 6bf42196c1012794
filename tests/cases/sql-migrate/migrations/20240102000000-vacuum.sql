-- +migrate Up notransaction
VACUUM;
-- +migrate Down notransaction
VACUUM;
