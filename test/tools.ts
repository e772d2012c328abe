/** Programs that the set-up unpacked for tests come behind those that the machine has. */
import { packageFile } from '../src/paths.js';

process.env['PATH'] = `${process.env['PATH']}:${packageFile('.cache/tools/bin')}`;
