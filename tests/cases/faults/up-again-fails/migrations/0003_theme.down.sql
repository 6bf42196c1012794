DELETE FROM setting WHERE key = 'themes';
