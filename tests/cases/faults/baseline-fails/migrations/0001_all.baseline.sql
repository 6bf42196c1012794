CREATE TABEL contact (id);
