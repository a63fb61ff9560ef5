prelude
import Base
/-! # Spec: what is claimed of the corner bounds of one material

A linear model says base + c₁ x₁ + ... + cₙ xₙ of a material. The parameters x lie in a box, one side for each. The
claim: whatever they are in there, what the model says lies between two numbers.

Everything is a whole number, a numerator over a common denominator: the c over a denominator C, the sides of the box
over S, and base, low and high over C times S. Parameters may be any rational numbers: numerators over m times S, for
every m. -/
set_option autoImplicit false
noncomputable section

/-- A whole number: `pos` less `neg`. -/
structure Signed where
  pos : Nat
  neg : Nat

namespace Signed

/-- a ≤ b: a.pos - a.neg ≤ b.pos - b.neg, with nothing taken away. -/
def le (a b : Signed) : Prop := (a.pos.add b.neg).le (b.pos.add a.neg)

/-- The sum. -/
def add (a b : Signed) : Signed := ⟨a.pos.add b.pos, a.neg.add b.neg⟩

/-- The product. -/
def mul (a b : Signed) : Signed :=
  ⟨(a.pos.mul b.pos).add (a.neg.mul b.neg), (a.pos.mul b.neg).add (a.neg.mul b.pos)⟩

/-- m times a. -/
def times (m : Nat) (a : Signed) : Signed := ⟨m.mul a.pos, m.mul a.neg⟩

end Signed

/-- Between which two numbers a parameter lies, both included. -/
structure Side where
  lo : Signed
  hi : Signed

/-- c₁ x₁ + ... + cₙ xₙ. -/
def dot : List Signed → List Signed → Signed
  | .nil, _ => ⟨0, 0⟩
  | .cons _ _, .nil => ⟨0, 0⟩
  | .cons c cs, .cons x xs => (c.mul x).add (dot cs xs)

/-- As many parameters as sides, and each lies in its side; their denominator is m times that of the sides. -/
def Inside (m : Nat) : List Side → List Signed → Prop
  | .nil, .nil => True
  | .nil, .cons _ _ => False
  | .cons _ _, .nil => False
  | .cons s ss, .cons x xs => And (And ((s.lo.times m).le x) (x.le (s.hi.times m))) (Inside m ss xs)

/-- What somebody states. -/
structure Certificate where
  /-- What the model says where all parameters are zero. -/
  base : Signed
  /-- By how much what it says grows with each parameter. -/
  coefficients : List Signed
  /-- In which sides the parameters lie. -/
  box : List Side
  /-- The bounds. -/
  low : Signed
  high : Signed

/-- What is claimed. -/
structure Valid (c : Certificate) : Prop where
  /-- There is one coefficient for each side, -/
  sizes : Eq c.coefficients.length c.box.length
  /-- no side is empty, -/
  sides : All (fun s : Side => s.lo.le s.hi) c.box
  /-- and for all parameters in the box what the model says lies within the bounds. -/
  within : (m : Nat) → (x : List Signed) → Inside m c.box x →
    And ((c.low.times m).le ((c.base.times m).add (dot c.coefficients x)))
      (((c.base.times m).add (dot c.coefficients x)).le (c.high.times m))
