// What went wrong for a reason that a learner can understand: one sentence, and the Value where it happened.
class Trouble extends Error {
  constructor(message, { value = null } = {}) {
    super(message);
    this.value = value;
  }
}
const MODELS = {};  // by screen: the half that computes
