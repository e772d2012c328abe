/** Plugin of typedoc: a document is called by its first heading, not by its file. */
import { Converter } from 'typedoc';

const HEADING = /^# +(.+)$/m;

export function load(app) {
  app.converter.on(Converter.EVENT_CREATE_DOCUMENT, (_, document) => {
    const [first] = document.content;
    const title = HEADING.exec(first?.text ?? '')?.[1];
    if (title !== undefined) document.name = title.replaceAll('`', '');
  });
}
