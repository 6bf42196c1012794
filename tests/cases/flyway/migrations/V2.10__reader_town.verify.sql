SELECT id FROM reader WHERE town = '';
