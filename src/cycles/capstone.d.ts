declare module '@alexaltea/capstone-js';
