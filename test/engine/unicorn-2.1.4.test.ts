import { contractOn } from './builds.js';

contractOn('2.1.4');
