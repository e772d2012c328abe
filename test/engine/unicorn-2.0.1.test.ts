import { contractOn } from './builds.js';

contractOn('2.0.1');
