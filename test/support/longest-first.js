import Sequencer from "@jest/test-sequencer";

/** jest's own order, by size on a new machine, with what takes longest of all before it: else all would wait for that at the end. */
export default class LongestFirst extends Sequencer {
  sort(tests) {
    const isLong = ({ path }) => path.includes("/real-node/");
    const sorted = super.sort(tests);
    return [...sorted.filter(isLong), ...sorted.filter((test) => !isLong(test))];
  }
}
