// What went wrong for a reason that a learner can understand: one sentence, and the Value where it happened.
class Trouble extends Error {
  constructor(message, { value = null } = {}) {
    super(message);
    this.value = value;
  }
}
// Curves of any length with few points, and the first steps as they were: a point stays when its step is at least 1/250
// later than the one before it; the newest is always there. `lists.steps` may begin at 0.
const FINE = 250;
function note(lists, point) {
  const { steps } = lists, newest = steps.at(-1), before = steps.at(-2);
  if (before !== undefined && (newest - before) * FINE < newest) for (const list of Object.values(lists)) list.pop();
  for (const [name, list] of Object.entries(lists)) list.push(point[name]);
}
const MODELS = {};  // by screen: the half that computes
