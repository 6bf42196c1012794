DELETE FROM setting WHERE key = 'theme';
