DROP TABLE vault;
DROP TABLE email;
