DROP TABLE reader;
